"""What other libraries call while they train: one module each, and none imports its library before it is asked for."""
