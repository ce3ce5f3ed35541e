package config

import "fmt"

// didYouMean returns `; did you mean "x"?` for the word of known that is
// nearest to the one given, or nothing when none is near.
func didYouMean(given string, known []string) string {
	best, at := "", 1+(len(given)+1)/3
	for _, k := range known {
		if d := distance(given, k); d <= at && (best == "" || d < distance(given, best)) {
			best = k
		}
	}
	if best == "" {
		return ""
	}
	return fmt.Sprintf("; did you mean %q?", best)
}

// distance is the number of bytes to insert, delete, replace or swap with the
// next to make b of a (optimal string alignment); long words count as far.
func distance(a, b string) int {
	const far = 1000
	if len(a) > 64 || len(b) > 64 {
		return far
	}
	var rows [3][65]int // the two rows before and the one being made
	for i := 0; i <= len(a); i++ {
		row, last, before := &rows[i%3], &rows[(i+2)%3], &rows[(i+1)%3]
		row[0] = i
		for j := 1; j <= len(b); j++ {
			if i == 0 {
				row[j] = j
				continue
			}
			replace := 1
			if a[i-1] == b[j-1] {
				replace = 0
			}
			row[j] = min(last[j]+1, row[j-1]+1, last[j-1]+replace)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
	}
	return rows[len(a)%3][len(b)]
}
