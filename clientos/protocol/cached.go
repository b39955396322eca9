package protocol

// A CacheState is what a PC's cache partition holds.
type CacheState struct {
	Disk      int           `json:"disk"`
	Partition int           `json:"partition"`
	Bytes     int64         `json:"bytes"` // of its filesystem
	Free      int64         `json:"free"`
	Images    []CachedImage `json:"images,omitempty"`
	Problem   string        `json:"problem,omitempty"` // why it cannot be used, for people
}

// A CachedImage is an image file in a cache.
type CachedImage struct {
	Name  string `json:"name"`
	Bytes int64  `json:"bytes"` // on the disk, with what belongs to it
	// Digest is the BLAKE3 of the file, hexadecimal, as it was verified when it came; empty of a file that somebody else put there.
	Digest     string `json:"digest,omitempty"`
	Repository string `json:"repository,omitempty"` // that it came from, and its revision there
	Revision   int    `json:"revision,omitempty"`
	Partial    bool   `json:"partial,omitempty"` // what an interrupted download left, to go on with
}

// Has tells whether the cache holds exactly this image: the same bytes, whatever it is called.
func (c *CacheState) Has(i Image) bool {
	if c == nil || i.Digest == "" {
		return false
	}
	for _, cached := range c.Images {
		if cached.Name == i.Name && cached.Digest == i.Digest && !cached.Partial {
			return true
		}
	}
	return false
}
