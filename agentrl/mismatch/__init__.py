"""Why an engine and the learner disagree: what is known, what could be, what it is."""
