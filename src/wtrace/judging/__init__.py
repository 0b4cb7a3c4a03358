"""The referee: criteria judged from samples, and what follows from them. Pure."""
