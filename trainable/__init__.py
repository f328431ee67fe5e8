"""How the model learns: data, model, engines, sessions. Knows nothing of Optuna."""
