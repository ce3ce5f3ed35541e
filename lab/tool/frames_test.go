package main

import "testing"

func TestSizedFramesAreKnown(t *testing.T) {
	dst := []byte{2, 0, 0, 0, 0, 1}
	for n := 14; n <= 1514; n++ {
		f := sizedFrame(dst, n)
		if len(f) != n {
			t.Fatalf("%d bytes for %d", len(f), n)
		}
		if got := sizeOf(f); got != n {
			t.Errorf("%d is known as %d", n, got)
		}
		if got := sizeOf(append(f, 1, 2, 3, 3, 97)); got != n {
			t.Errorf("%d with a trailer is known as %d", n, got)
		}
	}
	for _, other := range [][]byte{nil, make([]byte, 60), sizedFrame(dst, 60)[:19]} {
		if got := sizeOf(other); got != 0 {
			t.Errorf("%x is taken for a frame of %d", other, got)
		}
	}
}
