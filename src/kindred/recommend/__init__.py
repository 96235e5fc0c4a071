"""The concrete stages of the funnel and what they share: item table, models, questions, answers."""
