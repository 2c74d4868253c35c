"""The OpenAI speech API, so that its clients work unchanged: its wire over the same speech."""
