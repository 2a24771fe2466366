"""The tests: one folder or module for each of the package's, and a docstring that states one fact for each test."""
