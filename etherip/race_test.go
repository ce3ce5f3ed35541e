//go:build race

package etherip

func init() { raceEnabled = true }
