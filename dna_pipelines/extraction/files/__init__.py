"""What is known of networks without loading torch: names, weight files, hub caches, descriptions, change tokens.

Belongs here: whatever a plan, a listing or an error needs before a network is loaded. Does not: torch.
"""
