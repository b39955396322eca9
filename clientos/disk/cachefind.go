package disk

import "slices"

// cacheName is the label of the filesystem in a cache partition, and the name of that partition in a GPT.
const cacheName = "CACHE"

// Cache tells whether p is for the cache of images, by type or name; whether there is a filesystem in it, its filesystem tells.
func (p Partition) Cache() bool {
	return p.Name == cacheName || p.Type == "CA" || p.Type == "A7"
}

// FindCache returns the cache partition of a PC and its disk. As in OpenGnsys (ogFindCache) it is the first one, by disk and number, whose
// filesystem has the label CACHE; else whose name in a GPT is CACHE; else whose type in an MBR is CA or A7.
func FindCache(disks []Disk) (Disk, Partition, bool) {
	for _, is := range []func(Partition) bool{
		func(p Partition) bool { return p.Label == cacheName },
		func(p Partition) bool { return p.Name == cacheName },
		func(p Partition) bool { return p.Type == "CA" || p.Type == "A7" },
	} {
		for _, d := range disks {
			if i := slices.IndexFunc(d.Partitions, is); i >= 0 {
				return d, d.Partitions[i], true
			}
		}
	}
	return Disk{}, Partition{}, false
}

// cache returns the cache partition of d.
func (d Disk) cache() (Partition, bool) {
	_, p, ok := FindCache([]Disk{d})
	return p, ok
}
