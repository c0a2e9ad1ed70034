"""Counting a call's tokens again with the open model's own tokenizer. Start at ``counting``.

Nothing is loaded before the first count, and nothing of a text outlives it. The package needs
``splintr``; where that is not installed no family is known, and nothing is counted again.
"""
