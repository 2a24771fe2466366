"""Measurements: what logging costs with loghook and with what people would use instead. See `__main__`."""
