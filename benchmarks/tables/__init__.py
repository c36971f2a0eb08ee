"""Errors and seconds of TabularClassifier and TabularRegressor on tables, beside other
libraries.
"""
