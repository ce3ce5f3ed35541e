package config

import "slices"

// What can differ between two configurations.
const (
	ChangeBlock = "block" // a settings block at the top; Name is its name
	ChangeHub   = "hub"
	ChangePort  = "port"
	// ChangeRadius is a radius block. The ports that name one which changed have
	// a Change of their own, with "radius" among its attributes.
	ChangeRadius = "radius"
)

// Change is one difference between two configurations. A hub that is added or
// removed brings or takes its ports along, each with a Change of its own.
type Change struct {
	What       string   `json:"what"` // ChangeBlock, ChangeRadius, ChangeHub or ChangePort
	Op         string   `json:"op"`   // "added", "removed" or "changed"
	Hub        string   `json:"hub,omitempty"`
	Name       string   `json:"name"`                 // of the block, radius block, hub or port
	Attributes []string `json:"attributes,omitempty"` // what changed, in the schema's order
}

// Diff says what turns old into new: first what is removed, ports before their
// hubs, then blocks, radius blocks and hubs, then ports, in the order of the new file. A port
// that changes its kind is removed and added. The order of ports and hubs, and
// comments, are no difference. A nil configuration has nothing.
func Diff(old, new *Config) []Change {
	if old == nil {
		old = newConfig()
	}
	if new == nil {
		new = newConfig()
	}
	var l []Change
	for i := range old.Hubs {
		l = append(l, removed(&old.Hubs[i], new.Hub(old.Hubs[i].Name))...)
	}
	for _, b := range blocks {
		if c := changed(b.attrs, b.of(old), b.of(new)); c != nil {
			l = append(l, Change{What: ChangeBlock, Op: "changed", Name: b.name, Attributes: c})
		}
	}
	l = append(l, diffRadius(old, new)...)
	for i := range new.Hubs {
		h := &new.Hubs[i]
		before := old.Hub(h.Name)
		if before == nil {
			l = append(l, Change{What: ChangeHub, Op: "added", Name: h.Name})
			before = &Hub{}
		} else if c := changed(hubTable, before, h); c != nil {
			l = append(l, Change{What: ChangeHub, Op: "changed", Name: h.Name, Attributes: c})
		}
		for j := range h.Ports {
			p := &h.Ports[j]
			was := before.Port(p.Name)
			if was == nil || was.Kind != p.Kind {
				l = append(l, Change{What: ChangePort, Op: "added", Hub: h.Name, Name: p.Name})
			} else if c := portChanged(was, p); c != nil {
				l = append(l, Change{What: ChangePort, Op: "changed", Hub: h.Name, Name: p.Name, Attributes: c})
			}
		}
	}
	return l
}

// removed lists what of hub old is not in hub new, which is nil when it went.
func removed(old, new *Hub) []Change {
	var l []Change
	for i := range old.Ports {
		p := &old.Ports[i]
		var now *Port
		if new != nil {
			now = new.Port(p.Name)
		}
		if now == nil || now.Kind != p.Kind {
			l = append(l, Change{What: ChangePort, Op: "removed", Hub: old.Name, Name: p.Name})
		}
	}
	if new == nil {
		l = append(l, Change{What: ChangeHub, Op: "removed", Name: old.Name})
	}
	return l
}

// diffRadius lists what became of the radius blocks, those removed first.
func diffRadius(old, new *Config) []Change {
	var l []Change
	for i := range old.Radius {
		if new.RadiusNamed(old.Radius[i].Name) == nil {
			l = append(l, Change{What: ChangeRadius, Op: "removed", Name: old.Radius[i].Name})
		}
	}
	for i := range new.Radius {
		now := &new.Radius[i]
		was := old.RadiusNamed(now.Name)
		if was == nil {
			l = append(l, Change{What: ChangeRadius, Op: "added", Name: now.Name})
		} else if c := changed(radiusTable, was, now); c != nil {
			l = append(l, Change{What: ChangeRadius, Op: "changed", Name: now.Name, Attributes: c})
		}
	}
	return l
}

// portChanged lists the attributes that differ between two ports of one kind;
// servers behind the same name that are not the same count as "radius".
func portChanged(was, p *Port) []string {
	l := changed(PortAttributes(p.Kind), was, p)
	if p.L2TP == nil || slices.Contains(l, "radius") {
		return l
	}
	a, b := was.L2TP.Servers, p.L2TP.Servers
	if a != nil && b != nil && changed(radiusTable, a, b) != nil {
		l = append(l, "radius")
	}
	return l
}

func changed(attrs []*Attribute, old, new any) []string {
	var l []string
	for _, a := range attrs {
		if !slices.Equal(a.texts(a.bind(old)), a.texts(a.bind(new))) {
			l = append(l, a.Name)
		}
	}
	return l
}

// texts is the value as comparable text: an item for each of a list. What a
// target does not have is at its default.
func (a *Attribute) texts(ptr any) []string {
	if ptr == nil {
		if a.List {
			return nil
		}
		return []string{a.Default}
	}
	if a.List {
		return listText(ptr)
	}
	return []string{a.text(ptr)}
}

// PortValues returns the attributes of a port as text: all it has, or only
// those that are not at their default.
func PortValues(p *Port, all bool) Values {
	return values(PortAttributes(p.Kind), p, newPort(p.Kind, p.Name), all)
}

// HubValues returns the attributes of a hub as text, like PortValues.
func HubValues(h *Hub, all bool) Values { return values(hubTable, h, newHub(h.Name), all) }

// BlockValues returns the attributes of a settings block as text, like
// PortValues; nil for an unknown block.
func (c *Config) BlockValues(name string, all bool) Values {
	for _, b := range blocks {
		if b.name == name {
			return values(b.attrs, b.of(c), b.of(newConfig()), all)
		}
	}
	return nil
}

func values(attrs []*Attribute, target, blank any, all bool) Values {
	v := Values{}
	for _, a := range attrs {
		ptr := a.bind(target)
		if ptr == nil {
			continue
		}
		if text := a.text(ptr); all || text != a.text(a.bind(blank)) {
			v[a.Name] = text
		}
	}
	return v
}

// RadiusValues returns the attributes of a radius block as text, like PortValues.
func RadiusValues(r *Radius, all bool) Values { return values(radiusTable, r, newRadius(r.Name), all) }
