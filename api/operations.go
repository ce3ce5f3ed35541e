package api

// Op is one operation: an HTTP method and a path, a request and an answer.
// Fields of Req tagged `path:"x"` fill {x} of the path, those tagged
// `query:"x"` the query string; the rest is the JSON body.
type Op[Req, Resp any] struct {
	Method, Path string
}

// StreamOp is an operation whose answer is a line of JSON an item, for as long
// as the caller listens.
type StreamOp[Req, Item any] struct {
	Method, Path string
}

// TextOp is an operation whose answer is plain text instead of JSON.
type TextOp[Req any] struct {
	Method, Path string
}

// OnlyHub stands for the hub's name in a path where there is only one hub.
const OnlyHub = "-"

// The operations.
var (
	GetVersion = Op[None, Version]{"GET", "/v1/version"}
	GetStatus  = Op[None, Status]{"GET", "/v1/status"}
	GetMetrics = TextOp[None]{"GET", "/v1/metrics"}

	ListHubs  = Op[None, HubList]{"GET", "/v1/hubs"}
	AddHub    = Op[AddHubRequest, Change]{"POST", "/v1/hubs"}
	GetHub    = Op[HubRequest, Hub]{"GET", "/v1/hubs/{hub}"}
	SetHub    = Op[SetHubRequest, Change]{"PATCH", "/v1/hubs/{hub}"}
	RemoveHub = Op[HubRequest, Change]{"DELETE", "/v1/hubs/{hub}"}

	ListPorts  = Op[HubRequest, PortList]{"GET", "/v1/hubs/{hub}/ports"}
	AddPort    = Op[AddPortRequest, Change]{"POST", "/v1/hubs/{hub}/ports"}
	GetPort    = Op[PortRequest, Port]{"GET", "/v1/hubs/{hub}/ports/{port}"}
	SetPort    = Op[SetPortRequest, Change]{"PATCH", "/v1/hubs/{hub}/ports/{port}"}
	RemovePort = Op[PortRequest, Change]{"DELETE", "/v1/hubs/{hub}/ports/{port}"}

	ListMACs        = Op[TableRequest, MACList]{"GET", "/v1/hubs/{hub}/macs"}
	FlushMACs       = Op[TableRequest, Flushed]{"DELETE", "/v1/hubs/{hub}/macs"}
	ListNeighbours  = Op[TableRequest, NeighbourList]{"GET", "/v1/hubs/{hub}/neighbours"}
	FlushNeighbours = Op[TableRequest, Flushed]{"DELETE", "/v1/hubs/{hub}/neighbours"}

	GetConfig      = Op[ConfigRequest, Config]{"GET", "/v1/config"}
	CheckConfig    = Op[CheckRequest, Checked]{"POST", "/v1/config/check"}
	ApplyConfig    = Op[ApplyRequest, Change]{"POST", "/v1/config/apply"}
	ConfirmConfig  = Op[None, Change]{"POST", "/v1/config/confirm"}
	RollbackConfig = Op[RollbackRequest, Change]{"POST", "/v1/config/rollback"}
	ListRevisions  = Op[None, RevisionList]{"GET", "/v1/config/revisions"}

	ListSAs   = Op[SARequest, SAList]{"GET", "/v1/sas"}
	PeerGuide = Op[GuideRequest, Guide]{"GET", "/v1/hubs/{hub}/ports/{port}/peer-config"}

	GetSettings = Op[None, SettingsList]{"GET", "/v1/settings"}
	SetSettings = Op[SetSettingsRequest, Change]{"PATCH", "/v1/settings/{block}"}

	ListUsers   = Op[ListUsersRequest, UserList]{"GET", "/v1/users"}
	AddUser     = Op[AddUserRequest, UserChange]{"POST", "/v1/users"}
	GetUser     = Op[UserRequest, User]{"GET", "/v1/users/{user}"}
	SetUser     = Op[SetUserRequest, UserChange]{"PATCH", "/v1/users/{user}"}
	SetPassword = Op[SetPasswordRequest, UserChange]{"PUT", "/v1/users/{user}/password"}
	RemoveUser  = Op[UserRequest, UserChange]{"DELETE", "/v1/users/{user}"}

	ListSessions = Op[ListSessionsRequest, SessionList]{"GET", "/v1/sessions"}
	GetSession   = Op[SessionRequest, Session]{"GET", "/v1/sessions/{session}"}
	KickSession  = Op[KickRequest, Kicked]{"POST", "/v1/sessions/{session}/kick"}

	WatchEvents  = StreamOp[EventsRequest, Event]{"GET", "/v1/events"}
	GetClientLog = Op[ClientLogRequest, ClientLog]{"GET", "/v1/client-log"}
)

// None is a request without anything in it.
type None struct{}

// HubRequest names a hub; OnlyHub or "" where there is only one.
type HubRequest struct {
	Hub string `path:"hub" json:"-"`
}

// PortRequest names a port.
type PortRequest struct {
	Hub  string `path:"hub" json:"-"`
	Port string `path:"port" json:"-"`
}

// AddHubRequest asks for a new hub.
type AddHubRequest struct {
	// Name is the hub's name: lower-case letters, digits, "-", "_".
	Name string `json:"name"`
	// Options are settings by their names in the file: strings as the file has them, numbers, booleans or lists.
	Options map[string]any `json:"options,omitempty"`
}

// SetHubRequest changes settings of a hub; a null takes a setting back to its default.
type SetHubRequest struct {
	Hub     string         `path:"hub" json:"-"`
	Options map[string]any `json:"options"`
}

// AddPortRequest asks for a new port.
type AddPortRequest struct {
	Hub string `path:"hub" json:"-"`
	// Kind is tap, nic, etherip or l2tp.
	Kind string `json:"kind"`
	// Name is the port's name, unique in its hub.
	Name string `json:"name"`
	// Options are settings by their names in the file: strings as the file has them, numbers, booleans or lists.
	Options map[string]any `json:"options,omitempty"`
}

// SetPortRequest changes settings of a port; a null takes a setting back to its default.
type SetPortRequest struct {
	Hub     string         `path:"hub" json:"-"`
	Port    string         `path:"port" json:"-"`
	Options map[string]any `json:"options"`
}

// SetSettingsRequest changes a block of settings of the whole daemon ("log",
// "ipsec"); a null takes a setting back to its default.
type SetSettingsRequest struct {
	Block   string         `path:"block" json:"-"`
	Options map[string]any `json:"options"`
}

// TableRequest picks entries of a hub's MAC or neighbour table; what is empty
// does not restrict.
type TableRequest struct {
	Hub  string `path:"hub" json:"-"`
	Port string `query:"port" json:"-"`
	MAC  string `query:"mac" json:"-"`
	IP   string `query:"ip" json:"-"`
}

// ConfigRequest picks a revision; 0 is the one in use.
type ConfigRequest struct {
	Revision int `query:"revision" json:"-"`
}

// CheckRequest is a configuration to check.
type CheckRequest struct {
	// Text is the configuration in HCL.
	Text string `json:"text"`
	// File is the name to use in errors.
	File string `json:"file"`
}

// ApplyRequest is a configuration to use from now on.
type ApplyRequest struct {
	// Text is the configuration in HCL. Empty: the file in use is read again.
	Text string `json:"text"`
	// File is the name to use in errors.
	File string `json:"file"`
	// ConfirmSeconds, above 0, is after how long the change goes back unless confirmed.
	ConfirmSeconds float64 `json:"confirm_seconds,omitempty"`
}

// RollbackRequest goes back to a revision; 0 is the one before the one in use.
type RollbackRequest struct {
	Revision       int     `json:"revision"`
	ConfirmSeconds float64 `json:"confirm_seconds,omitempty"`
}

// EventsRequest says which events.
type EventsRequest struct {
	// AfterSeq leaves out events up to this number.
	AfterSeq uint64 `query:"after_seq" json:"-"`
	// SinceSeconds, above 0, leaves out events older than that.
	SinceSeconds float64 `query:"since_seconds" json:"-"`
	// Last, above 0, begins with the last so many that the daemon remembers; without it, AfterSeq and
	// SinceSeconds only new events are sent.
	Last int `query:"last" json:"-"`
	// Follow, when set, goes on with new events as they happen.
	Follow bool `query:"follow" json:"-"`
	// Hub, when set, leaves out the events of other hubs.
	Hub string `query:"hub" json:"-"`
	// Port, when set, leaves out the events of other ports.
	Port string `query:"port" json:"-"`
}

// HubList is all hubs.
type HubList struct {
	Hubs []Hub `json:"hubs"`
}

// PortList is the ports of a hub, by name.
type PortList struct {
	Ports []Port `json:"ports"`
}

// MACList is entries of a forwarding table, by VLAN and address.
type MACList struct {
	MACs []MAC `json:"macs"`
}

// NeighbourList is entries of a neighbour table, by address.
type NeighbourList struct {
	Neighbours []Neighbour `json:"neighbours"`
}

// Flushed says how many entries were forgotten.
type Flushed struct {
	Flushed int `json:"flushed"`
}

// SettingsList is the blocks of settings of the whole daemon, by name.
type SettingsList struct {
	Settings map[string]map[string]string `json:"settings"`
}

// RevisionList is the revisions that are kept, newest first.
type RevisionList struct {
	Revisions []Revision `json:"revisions"`
}
