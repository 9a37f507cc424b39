"""The model of the platform: ports, messages, events, rules. It imports no driver.

**An actor** has a mailbox and answers one kind of message at a time in `receive`. Nothing else
reaches its state, so there are no locks. **A port** is an actor's abstract class, with its
messages in the same module: the contract is one page. **An implementation** of a port lives in
`adapters/<technology>/`, and which one stands behind an address is decided once, at boot.

Who may talk to whom: an actor may `ask` only actors booted before it; whatever goes the other way
is an `Event` on the bus. Boot order is therefore dependency order, and a cycle of asks, the only
way to a deadlock, cannot be written.

    answer = await storage.ask(OpenBlob(key="agent-packages/…"))   # a typed request
    pubsub.tell(Publish(event=RunChanged(…)))                      # a fact, nobody waits
"""
