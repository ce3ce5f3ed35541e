package ipsec

// roster is sessions that take turns, in no order. With ten thousand of them a look
// at each in each second would be a fifth of what idle ones cost.
type roster struct {
	all  []*session
	next int
}

func (r *roster) add(s *session) {
	s.roster, s.at = r, len(r.all)
	r.all = append(r.all, s)
}

// leave takes a session off its roster. The last takes its place, and may lose or win a
// turn by that.
func (s *session) leave() {
	r := s.roster
	last := len(r.all) - 1
	moved := r.all[last]
	r.all[s.at], moved.at = moved, s.at
	r.all[last] = nil
	r.all = r.all[:last]
	s.roster = nil
}

// turn appends those whose turn it is now, when all are to have theirs within rounds
// turns.
func (r *roster) turn(rounds int, list []*session) []*session {
	for range (len(r.all) + rounds - 1) / rounds {
		r.next = (r.next + 1) % len(r.all)
		list = append(list, r.all[r.next])
	}
	return list
}
