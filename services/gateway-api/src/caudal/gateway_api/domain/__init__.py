"""Pure rules of the door: who may, what a page, an interval, a cursor and a cell are. Nothing here awaits."""
