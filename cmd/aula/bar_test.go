package main

import (
	"strings"
	"testing"
	"time"
)

func TestBarTellsHowFarHowFastHowLong(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name        string
		done, total int64
		since       time.Duration
		want        string
	}{
		{"at the start", 0, 4e9, 0, "[........................]   0 %  0 bytes of 4.0 GB  win10"},
		{"half way", 2e9, 4e9, 20 * time.Second, "[############............]  50 %  2.0 GB of 4.0 GB, 100.0 MB/s, 20s left  win10"},
		{"done", 4e9, 4e9, 40 * time.Second, "[########################] 100 %  4.0 GB of 4.0 GB, 100.0 MB/s  win10"},
		{"no end known", 5e8, 0, 5 * time.Second, "500.0 MB, 100.0 MB/s  win10"},
		{"more than was said", 5e9, 4e9, time.Second, "[########################] 100 %  4.0 GB of 4.0 GB, 4.0 GB/s  win10"},
	} {
		if got := picture("win10", c.done, c.total, c.since); got != c.want {
			t.Errorf("%s: got %q, want %q", c.name, got, c.want)
		}
	}
}

func TestBarIsWipedAndNotDrawnTooOften(t *testing.T) {
	t.Parallel()
	var out strings.Builder
	now := time.Unix(1e9, 0)
	b := &bar{w: &out, now: func() time.Time { return now }, begun: now}
	for range 10 {
		b.show("reading", 1, 2)
	}
	drawn := out.String()
	if strings.Count(drawn, "\r") != 1 {
		t.Errorf("ten changes in no time drew %q", drawn)
	}
	b.end()
	if want := "\r" + strings.Repeat(" ", len(drawn)-1) + "\r"; out.String() != drawn+want {
		t.Errorf("the end drew %q, want %q", out.String()[len(drawn):], want)
	}
	(&bar{now: time.Now}).show("nobody watches", 1, 2)
}
