"""Where a table lives: in this process, or shared by many."""
