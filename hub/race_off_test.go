//go:build !race

package hub

const slowdown = 1
