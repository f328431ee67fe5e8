"""The model's training: data, model, engines, sessions. Independent of Optuna."""
