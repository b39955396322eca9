package instruction

import "strings"

// didYouMean suggests the one of words that is most like what was written, or nothing when none is.
func didYouMean(written string, words []string) string {
	best, distance := "", 1+len(written)/3
	if len(written) > maxShown {
		return ""
	}
	for _, word := range words {
		if d := edits(strings.ToLower(written), strings.ToLower(word)); d < distance || d == distance && best == "" {
			best, distance = word, d
		}
	}
	if best == "" || distance >= len(written) {
		return ""
	}
	return "did you mean " + best + "?"
}

// edits is how many letters must be put in, taken out, changed, or swapped with the next, to make b of a (optimal string alignment).
func edits(a, b string) int {
	rows := make([][]int, len(a)+1)
	for i := range rows {
		rows[i] = make([]int, len(b)+1)
		rows[i][0] = i
	}
	for j := range rows[0] {
		rows[0][j] = j
	}
	for i := 1; i <= len(a); i++ {
		for j := 1; j <= len(b); j++ {
			change := rows[i-1][j-1]
			if a[i-1] != b[j-1] {
				change++
			}
			rows[i][j] = min(rows[i-1][j]+1, rows[i][j-1]+1, change)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				rows[i][j] = min(rows[i][j], rows[i-2][j-2]+1)
			}
		}
	}
	return rows[len(a)][len(b)]
}
