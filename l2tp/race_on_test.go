//go:build race

package l2tp

// slower is what the race detector costs, about.
const slower = 10
