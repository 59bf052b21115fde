"""What runs left, beside what the paper says: tables, plots, one page. Imports no torch."""
