package ipsec

import (
	"testing"

	"pgregory.net/rapid"
)

// Whoever stays has a turn within so many turns, and nobody has one who left.
func TestRoster(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		const rounds = 10
		var r roster
		var here []*session
		for range rapid.IntRange(1, 20).Draw(t, "changes") {
			if len(here) > 0 && rapid.Bool().Draw(t, "one leaves") {
				i := rapid.IntRange(0, len(here)-1).Draw(t, "who")
				here[i].leave()
				here = append(here[:i], here[i+1:]...)
			} else {
				for range rapid.IntRange(1, 30).Draw(t, "come") {
					s := new(session)
					r.add(s)
					here = append(here, s)
				}
			}
			turns := map[*session]int{}
			for range rounds {
				list := r.turn(rounds, nil)
				if want := (len(here) + rounds - 1) / rounds; len(list) != want {
					t.Fatalf("%d of %d have their turn, want %d", len(list), len(here), want)
				}
				for _, s := range list {
					turns[s]++
				}
			}
			for _, s := range here {
				if turns[s] == 0 {
					t.Fatalf("one of %d had no turn", len(here))
				}
			}
			if len(turns) != len(here) {
				t.Fatalf("%d had a turn, %d are here", len(turns), len(here))
			}
		}
	})
}
