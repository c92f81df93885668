"""The provider's signing keys: when each is shown, when it signs, and when it is gone."""
