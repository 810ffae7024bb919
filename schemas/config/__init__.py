"""One frozen configuration per stage; `benchmark` joins them into the flow's parameter."""
