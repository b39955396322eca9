package operation

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"aula/appliance/catalog"
	"aula/clientos/disk"
	"aula/clientos/protocol"
)

// How images come to a PC: what its inventory tells of its cache before anything is sent. The agent looks again.

// held tells whether the PC's cache has all images, so that none comes over the network.
func held(pc catalog.Computer, parts []protocol.Part) bool {
	return !slices.ContainsFunc(parts, func(p protocol.Part) bool { return !pc.Inventory.Cache.Has(p.Image) })
}

// way tells how the images would come to the PC's disk, for people, or why they would not.
func way(pc catalog.Computer, d *protocol.Delivery, parts []protocol.Part) (string, *protocol.Failure) {
	if d == nil {
		return "straight to the disk by UNICAST", nil
	}
	by := cmp.Or(d.Protocol, protocol.Unicast)
	switch {
	case held(pc, parts) && !d.Direct:
		return "from its cache, which has it already", nil
	case d.From == protocol.Cache:
		return "", notCached(pc, parts)
	case d.Direct:
		return "straight to the disk by " + by, nil
	}
	f := room(pc, parts)
	switch {
	case f == nil:
		return "through its cache by " + by, nil
	case d.Fallback == protocol.None:
		return "", f
	case d.Fallback == protocol.Multicast:
		by = protocol.Multicast
	default:
		by = protocol.Unicast
	}
	return fmt.Sprintf("straight to the disk by %s: %s", by, f.Problem), nil
}

// wayToCache tells how the images would come into the PC's cache, for people, or why they would not.
func wayToCache(pc catalog.Computer, d protocol.Delivery, parts []protocol.Part) (string, *protocol.Failure) {
	switch f := room(pc, parts); {
	case f != nil:
		return "", f
	case held(pc, parts):
		return "nothing to do: its cache has it already", nil
	}
	return "into its cache by " + cmp.Or(d.Protocol, protocol.Unicast), nil
}

// notCached names the images that a PC should have in its cache and has not.
func notCached(pc catalog.Computer, parts []protocol.Part) *protocol.Failure {
	if pc.Inventory.Cache == nil {
		return noCache(pc)
	}
	var missing []string
	for _, p := range parts {
		if !pc.Inventory.Cache.Has(p.Image) {
			missing = append(missing, fmt.Sprintf("%s revision %d", p.Image.Name, p.Image.Revision))
		}
	}
	return refusal(protocol.ErrNotFound, fmt.Sprintf("the cache of %s does not have %s", pc.Name, strings.Join(missing, ", ")),
		"bring it there with updateCache, or restore from REPO")
}

func noCache(pc catalog.Computer) *protocol.Failure {
	return refusal(protocol.ErrNotCache, pc.Name+" has no cache partition", "make one with initCache, or restore with -DIRECT")
}

// room tells why the images do not fit into the PC's cache; nil when they do.
func room(pc catalog.Computer, parts []protocol.Part) *protocol.Failure {
	cache := pc.Inventory.Cache
	switch {
	case cache == nil:
		return noCache(pc)
	case cache.Problem != "":
		return refusal(protocol.ErrNotCache, fmt.Sprintf("the cache of %s cannot be used: %s", pc.Name, cache.Problem), "make it anew with initCache")
	}
	need, replaced := int64(0), int64(0)
	for _, p := range parts {
		if cache.Has(p.Image) {
			continue
		}
		need += p.Image.FileBytes
		for _, c := range cache.Images {
			if c.Name == p.Image.Name { // another revision, which is replaced, or the beginning of this one
				replaced += c.Bytes
			}
		}
	}
	switch {
	case need >= cache.Bytes:
		return refusal(protocol.ErrCacheSize, fmt.Sprintf("the image takes %s and the whole cache of %s has %s",
			disk.FormatBytes(need), pc.Name, disk.FormatBytes(cache.Bytes)), "make the cache larger with initCache, or restore with -DIRECT")
	case need > cache.Free+replaced:
		return refusal(protocol.ErrCacheSize, fmt.Sprintf("the image takes %s and the cache of %s has room for %s",
			disk.FormatBytes(need), pc.Name, disk.FormatBytes(cache.Free+replaced)),
			"remove images from its cache that are not needed, make it larger with initCache, or restore with -DIRECT")
	}
	return nil
}

// withImages is a cache once images have come into it.
func withImages(cache *protocol.CacheState, parts []protocol.Part) *protocol.CacheState {
	if cache == nil {
		return nil
	}
	var missing []protocol.Part
	var names []string
	for _, p := range parts {
		if !cache.Has(p.Image) {
			missing, names = append(missing, p), append(names, p.Image.Name)
		}
	}
	after := withoutImages(cache, names)
	for _, p := range missing {
		after.Images = append(after.Images, protocol.CachedImage{Name: p.Image.Name, Bytes: p.Image.FileBytes, Digest: p.Image.Digest})
		after.Free -= p.Image.FileBytes
	}
	return after
}

// withoutImages is a cache once the images of these names are gone.
func withoutImages(cache *protocol.CacheState, names []string) *protocol.CacheState {
	if cache == nil {
		return nil
	}
	after := *cache
	after.Images = nil
	for _, c := range cache.Images {
		if slices.Contains(names, c.Name) {
			after.Free += c.Bytes
		} else {
			after.Images = append(after.Images, c)
		}
	}
	return &after
}

// A cachePlan brings images into the caches.
type cachePlan struct{ step Step }

func (p cachePlan) check(pc catalog.Computer, online bool) (Preflight, protocol.Instruct) {
	result := Preflight{ComputerID: pc.ID, Name: pc.Name, Loses: []string{}, Online: online, Failure: reachable(pc, online)}
	delivery := p.step.Statement.Delivery
	if result.Failure == nil {
		result.Way, result.Failure = wayToCache(pc, delivery, p.step.Parts)
	}
	return result, protocol.Instruct{Kind: UpdateCache, Parts: p.step.Parts, Delivery: &delivery}
}

// A schemePlan partitions and formats.
type schemePlan struct {
	disk   int
	scheme disk.Scheme
}

func (p schemePlan) check(pc catalog.Computer, online bool) (Preflight, protocol.Instruct) {
	result := Preflight{ComputerID: pc.ID, Name: pc.Name, Loses: []string{}, Online: online}
	d, f := findDisk(pc, online, p.disk)
	if result.Failure = f; f != nil {
		return result, protocol.Instruct{}
	}
	result.Disk = describeDisk(d)
	if _, err := p.scheme.Plan(d); err != nil {
		result.Failure = diskFailure(err)
		return result, protocol.Instruct{}
	}
	for _, lost := range p.scheme.Loses(d) {
		if !lost.Extended() {
			result.Loses = append(result.Loses, describePartition(lost))
		}
	}
	scheme := p.scheme
	return result, protocol.Instruct{Kind: PartitionDisk, Disk: d.Ref(), Scheme: &scheme}
}
