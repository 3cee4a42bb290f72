"""Commands; each stage of a recipe calls one of them."""
