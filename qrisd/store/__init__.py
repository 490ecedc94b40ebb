"""Every line of SQL. Each function takes the connection first; rows become domain objects before they leave."""
