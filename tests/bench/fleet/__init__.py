"""The worker benchmark: real application servers, fronts before them, the same load for all."""
