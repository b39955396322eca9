package sender

import (
	"cmp"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"aula/clientos/protocol"
	"aula/imagestore/multicast"
)

// An order is what a session is to send, and how, as the instructions of its PCs say.
type order struct {
	session string
	images  []image
	how     multicast.Session
}

// An image is a revision that is sent.
type image struct {
	repository, name string
	revision         int
	digest           string // that the instruction has; empty when it has none
}

func (i image) String() string { return fmt.Sprintf("revision %d of image %s", i.revision, i.name) }

// orderOf reads an instruction. An instruction that names no session has one for itself.
func orderOf(in protocol.Instruct, server netip.Addr) (order, error) {
	if in.Delivery == nil || len(in.Parts) == 0 {
		return order{}, refuse(protocol.ErrJoin, fmt.Sprintf("instruction %s brings no images by multicast", in.ID), "start the operation again from the console")
	}
	o := order{session: cmp.Or(in.Delivery.Session, in.ID)}
	for _, p := range in.Parts {
		o.images = append(o.images, image{p.Image.Repository, p.Image.Name, p.Image.Revision, p.Image.Digest})
	}
	if in.Delivery.Protocol != protocol.Multicast {
		// It is what a PC falls back to: the parameters are those of another protocol.
		o.how = fallback(server)
		return o, nil
	}
	var err error
	if o.how, err = multicast.ParseSession(in.Delivery.Parameters); err != nil {
		return order{}, refuse(protocol.ErrJoin, err.Error(), "correct the parameters of the multicast session and start the operation again")
	}
	return o, nil
}

// fallbackWait is for how long the PCs that fall back to multicast are waited for from the first on.
const fallbackWait = 20 * time.Second

// fallback is a session of which nobody has said how it is to be: OpenGnsys' usual one, as fast as the network takes it.
func fallback(server netip.Addr) multicast.Session {
	const classroom = 24 // bits of a network
	return multicast.Session{
		Port: firstPort, Mode: multicast.FullDuplex, Group: multicast.GroupOf(netip.PrefixFrom(server, classroom)), Wait: fallbackWait,
	}
}

// name is what people call the content.
func (o order) name() string {
	const longest = 255 // bytes, of a multicast.Content
	var names []string
	for _, i := range o.images {
		names = append(names, i.name)
	}
	name := strings.Join(names, " + ")
	if len(name) > longest {
		name = fmt.Sprintf("%s and %d more images", names[0], len(names)-1) // names are ASCII, and of 128 at most
	}
	return name
}
