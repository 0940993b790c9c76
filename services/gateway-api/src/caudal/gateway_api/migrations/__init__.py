"""How gateway-api's tables came to be, one step after another."""
