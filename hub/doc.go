// Package hub is the switch: it learns which station is behind which link,
// looks up, floods, suppresses duplicates, and counts every frame that it does
// not forward under a reason. It does no I/O, starts no goroutine and reads no
// clock.
package hub
