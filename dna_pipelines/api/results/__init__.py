"""What the methods return: small frozen objects with tables, JSON, pictures and a view in notebooks."""
