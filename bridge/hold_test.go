package bridge

import (
	"testing"
	"testing/synctest"
	"time"

	"vhub/eth"
)

func frameFrom(src eth.Addr, mark byte) eth.Frame {
	b := make([]byte, 60)
	copy(b, eth.Broadcast[:])
	copy(b[6:], src[:])
	b[12], b[13], b[14] = 0x88, 0xb5, mark
	return eth.Frame{Data: b}
}

func marks(frames []eth.Frame) string {
	var s []byte
	for _, f := range frames {
		s = append(s, f.Data[14])
	}
	return string(s)
}

func TestFirstFramesWaitForThePin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var h holder
		var wrote []eth.Frame
		write := func(f []eth.Frame) { wrote = append(wrote, f...) }
		a, b := station{0, mac(1)}, station{0, mac(2)}

		h.await(a, time.Now())
		batch := []eth.Frame{frameFrom(a.mac, '1'), frameFrom(b.mac, '2'), frameFrom(a.mac, '3')}
		if pass := h.filter(batch, nil); marks(pass) != "2" {
			t.Fatalf("passed %q, want only the frame of the station that does not wait", marks(pass))
		}
		batch[0].Data[14] = 'x' // the lender takes his bytes back

		h.release(a, write)
		if marks(wrote) != "13" {
			t.Fatalf("released %q, want the held frames in order", marks(wrote))
		}
		if h.waiting.Load() != 0 || h.n != 0 || h.bytes != 0 {
			t.Fatalf("after the release: %d waiting, %d frames, %d bytes", h.waiting.Load(), h.n, h.bytes)
		}
		if pass := h.filter(batch, nil); len(pass) != 3 {
			t.Fatalf("passed %d frames after the release, want all 3", len(pass))
		}

		wrote = nil
		h.await(a, time.Now())
		h.filter([]eth.Frame{frameFrom(a.mac, '1')}, nil)
		time.Sleep(holdTime + time.Millisecond)
		if pass := h.filter([]eth.Frame{frameFrom(a.mac, '2')}, nil); marks(pass) != "2" {
			t.Fatal("a frame waited longer than the limit")
		}
		h.releaseAll(write)
		if marks(wrote) != "1" || h.waiting.Load() != 0 {
			t.Fatalf("released %q, %d waiting", marks(wrote), h.waiting.Load())
		}

		h.await(a, time.Now())
		many := make([]eth.Frame, holdFrames+10)
		for i := range many {
			many[i] = frameFrom(a.mac, 'm')
		}
		if pass := h.filter(many, nil); len(pass) != 10 {
			t.Fatalf("%d frames passed the full holder, want 10", len(pass))
		}
	})
}

func TestFramesThatComeWhileHeldOnesAreWrittenKeepTheirOrder(t *testing.T) {
	var h holder
	st := station{0, mac(1)}
	h.await(st, time.Now())
	h.filter([]eth.Frame{frameFrom(st.mac, '1')}, nil)
	var wrote []eth.Frame
	h.release(st, func(f []eth.Frame) {
		if len(wrote) == 0 { // another goroutine's frame, in the middle of the release
			if pass := h.filter([]eth.Frame{frameFrom(st.mac, '2')}, nil); len(pass) != 0 {
				t.Error("a frame overtook those that were held")
			}
		}
		wrote = append(wrote, f...)
	})
	if marks(wrote) != "12" {
		t.Errorf("wrote %q, want 12", marks(wrote))
	}
}

func TestStations(t *testing.T) {
	var s stations
	s.init()
	st := station{3, mac(1)}
	if !s.set(st, true) || s.set(st, true) {
		t.Error("a station is news once")
	}
	if got := s.take(); len(got) != 1 || !got[st] {
		t.Errorf("took %v", got)
	}
	s.set(st, false)
	s.set(st, true)
	if got := s.take(); len(got) != 1 || !got[st] {
		t.Errorf("gone and learned again: took %v", got)
	}
	if got := s.take(); len(got) != 0 {
		t.Errorf("took %v twice", got)
	}
	t.Log("frames to a station go out: it has moved; frames from it again: it has not")
	if !s.lapse(st) || s.has(st) || s.lapse(st) || s.filter[slot(st.key())].Load() != 0 {
		t.Error("a station lapses once")
	}
	if !s.try(st, time.Now()) || len(s.trials) != 0 || !s.has(st) {
		t.Error("a station that the hub had told of came back on trial")
	}
	s.lapse(st)
	s.set(st, false) // the hub tells at last
	if len(s.lapsed) != 0 {
		t.Errorf("%v lapsed", s.lapsed)
	}
	s.set(st, true)
	s.take()
	now := time.Now()
	for i := range maxTrials + 5 {
		s.try(station{uint16(100 + i), mac(2)}, now)
	}
	if len(s.trials) != maxTrials || s.try(st, now) {
		t.Errorf("%d stations on trial, want %d", len(s.trials), maxTrials)
	}
	s.set(station{100, mac(2)}, true) // the hub tells of one
	gone := s.gone.Load()
	if n := s.expire(now.Add(trialTime - 1)); n != maxTrials-1 {
		t.Errorf("%d trials go on before the time, want %d", n, maxTrials-1)
	}
	if n := s.expire(now.Add(trialTime)); n != 0 || !s.has(station{100, mac(2)}) || s.has(station{101, mac(2)}) || s.gone.Load() == gone {
		t.Errorf("%d trials go on after the time; told %v, not told %v", n, s.has(station{100, mac(2)}), s.has(station{101, mac(2)}))
	}
	for i := range maxStations + 5 {
		s.set(station{uint16(i >> 8), mac(byte(i))}, true)
	}
	if len(s.all) != maxStations || s.over == 0 {
		t.Errorf("%d stations, %d over", len(s.all), s.over)
	}
}
