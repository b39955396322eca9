package imagestore

// A Conversion says how an image is to be packed anew.
type Conversion struct {
	Compressor string // format.Zstd, Lzop, Gzip or None
	Level      int    // of the compressor, 0 for its default
	Name       string // of the new image; empty: a new revision of the same
}
