package main

import _ "embed"

// notes is what no run can say of itself: limits that were looked into, and
// what was tried.
//
//go:embed notes.md
var notes string
