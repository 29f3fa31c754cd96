"""Whether deploy/nftables lets in what it should: `firewall.py RULES`, in a network namespace of its own (unshare --net), as its root.

A second namespace is the world, joined by a cable of two ends. Everything listens on all addresses; what the world and the machine itself reach is printed as JSON."""

import json
import socket
import subprocess
import sys
import threading

PORTS = [22, 80, 443, 8080, 18789]
HERE, WORLD = "10.99.0.1", "10.99.0.2"
HERE6, WORLD6 = "fd99::1", "fd99::2"
ASK = """
import json, socket, sys
reached = []
for port in json.loads(sys.argv[2]):
    try:
        socket.create_connection((sys.argv[1], port), timeout=1).close()
        reached.append(port)
    except OSError:
        pass
print(json.dumps(reached))
"""


def run(*command):
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def listen(port):
    listener = socket.socket(socket.AF_INET6)
    listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
    listener.bind(("::", port))
    listener.listen()
    while True:
        listener.accept()[0].close()


def ask(address, *before):
    return json.loads(run(*before, sys.executable, "-c", ASK, address, json.dumps(PORTS)))


world = subprocess.Popen(["unshare", "--net", "sh", "-c", "echo up; exec sleep 300"], stdout=subprocess.PIPE)
try:
    world.stdout.readline()
    inside = ["nsenter", f"--net=/proc/{world.pid}/ns/net"]
    run("ip", "link", "set", "lo", "up")
    run("ip", "link", "add", "here", "type", "veth", "peer", "name", "world")
    run("ip", "link", "set", "world", "netns", str(world.pid))
    # Without detection of duplicates an IPv6 address counts at once.
    run("ip", "address", "add", f"{HERE}/24", "dev", "here")
    run("ip", "address", "add", f"{HERE6}/64", "dev", "here", "nodad")
    run("ip", "link", "set", "here", "up")
    run(*inside, "ip", "address", "add", f"{WORLD}/24", "dev", "world")
    run(*inside, "ip", "address", "add", f"{WORLD6}/64", "dev", "world", "nodad")
    run(*inside, "ip", "link", "set", "world", "up")
    for port in PORTS:
        threading.Thread(target=listen, args=(port,), daemon=True).start()
    # Until all listen, and the cable carries.
    while ask("127.0.0.1") != PORTS or ask(HERE, *inside) != PORTS or ask(HERE6, *inside) != PORTS:
        pass
    # Twice, as a reload does.
    run("nft", "--file", sys.argv[1])
    run("nft", "--file", sys.argv[1])
    print(json.dumps({"itself": ask("127.0.0.1"), "world": ask(HERE, *inside), "world6": ask(HERE6, *inside)}))
finally:
    world.kill()
