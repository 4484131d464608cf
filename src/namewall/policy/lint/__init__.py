"""What is valid in a policy and yet hardly what was meant. docs/lint.md has a section for each rule.

`run.lint` calls every rule; a rule is a function from a Project to Findings and knows nothing of files or lines.
"""
