package multicast

import (
	"fmt"
	"io"

	"aula/imagestore/multicast/fec"
)

// cachedBlocks is how many blocks a sender has at hand for repairs: 45 MiB. Older ones are read again.
const cachedBlocks = 256

// A blockCache has the symbols of the blocks that were lately sent.
type blockCache struct {
	source Source
	blocks map[int64]*packed
	order  []*packed // as a ring
	next   int
	codes  map[int]*fec.Code
}

// A packed block is laid out as source symbols.
type packed struct {
	block   int64
	sources int
	data    []byte
}

func newBlockCache(source Source) *blockCache {
	return &blockCache{source: source, blocks: map[int64]*packed{}, codes: map[int]*fec.Code{}}
}

// get returns a block.
func (c *blockCache) get(block int64) (*packed, error) {
	if p := c.blocks[block]; p != nil {
		return p, nil
	}
	p := c.spare()
	content := c.source.Content()
	_, length := sourcesOf(content.Size, block) // and no more: a file may have grown
	n, err := io.ReadFull(io.NewSectionReader(c.source, block*BlockSize, BlockSize), p.data[:length])
	if err != nil {
		return nil, fmt.Errorf("read %s at byte %d: got %d bytes of %d: has it been changed? %w", content.Name, block*BlockSize, n, length, err)
	}
	p.block, p.sources = block, pack(p.data, length)
	c.blocks[block] = p
	return p, nil
}

// spare returns the block that was taken longest ago, or a new one.
func (c *blockCache) spare() *packed {
	if len(c.order) < cachedBlocks {
		p := &packed{data: make([]byte, blockBuffer)}
		c.order = append(c.order, p)
		return p
	}
	p := c.order[c.next]
	c.next = (c.next + 1) % cachedBlocks
	if c.blocks[p.block] == p {
		delete(c.blocks, p.block)
	}
	return p
}

// symbols returns count symbols of a block from the first on, one after another. What it returns is good until the next call.
func (c *blockCache) symbols(block int64, first, count int, scratch []byte) ([]byte, int, error) {
	p, err := c.get(block)
	if err != nil {
		return nil, 0, err
	}
	if first < p.sources {
		return p.data[first*symbolSize : (first+count)*symbolSize], p.sources, nil
	}
	if c.codes[p.sources] == nil {
		c.codes[p.sources] = fec.New(p.sources, symbolSize)
	}
	c.codes[p.sources].Encode(scratch[:count*symbolSize], p.data[:p.sources*symbolSize], first)
	return scratch[:count*symbolSize], p.sources, nil
}
