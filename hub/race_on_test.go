//go:build race

package hub

// slowdown is how much smaller long tests are under the race detector.
const slowdown = 50
