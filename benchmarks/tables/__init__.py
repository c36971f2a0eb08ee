"""What TabularClassifier and TabularRegressor learn from tables, and in which time, beside other libraries."""
