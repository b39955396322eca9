package catalog

// Defaults are what the deployments of a classroom are prefilled with, as OpenGnsys keeps them with it.
type Defaults struct {
	Protocol  string `json:"protocol,omitempty"`  // UNICAST, MULTICAST (also when empty) or TORRENT
	Direct    bool   `json:"direct,omitempty"`    // without the cache
	Multicast string `json:"multicast,omitempty"` // 9000:full-duplex:239.194.17.36:90M:20:60; empty: made of the network and the number of PCs
	Torrent   string `json:"torrent,omitempty"`   // peer:60, also when empty
	Fallback  string `json:"fallback,omitempty"`  // of a PC without a cache or without room: UNICAST (also when empty), MULTICAST or NONE
	// Script is run on each PC after a restore, see protocol.Script.
	Script string `json:"script,omitempty"`
}
