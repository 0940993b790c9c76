"""One file per room of the API; each route names who may come in by a type in its signature."""
