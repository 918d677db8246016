"""Home Assistant itself with its MQTT integration, run by its own Python; see
test_home_assistant.py.

    python home_assistant.py FOLDER MQTT-PORT WEB-PORT

Each line of standard input, in JSON, gets a line back: null, the states of all entities, {name:
[state, unit]}; [domain, service, entity], null once that service was called.
"""

import asyncio
import json
import sys
from pathlib import Path

from homeassistant.setup import async_setup_component

from homeassistant import auth, bootstrap, config_entries, core, loader

_HOST = "127.0.0.1"


def prepare(folder, port):
    """What somebody has set up who has added the integration."""
    entry = {
        "entry_id": "nats", "version": 1, "minor_version": 1, "domain": "mqtt", "title": "nats",
        "data": {"broker": _HOST, "port": port, "discovery": True}, "options": {},
        "pref_disable_new_entities": False, "pref_disable_polling": False, "source": "user",
        "unique_id": None, "disabled_by": None,
    }  # fmt: skip
    kept = {"version": 1, "minor_version": 1, "key": "core.config_entries"}
    (folder / ".storage").mkdir(parents=True)
    (folder / ".storage/core.config_entries").write_text(
        json.dumps(dict(kept, data={"entries": [entry]}))
    )
    (folder / "configuration.yaml").write_text("")


async def started(folder, web_port):
    """Home Assistant with what MQTT takes, and nothing else."""
    home = core.HomeAssistant(str(folder))
    home.config.skip_pip = True
    loader.async_setup(home)
    home.config_entries = config_entries.ConfigEntries(home, {})
    await bootstrap.async_load_base_functionality(home)
    home.auth = await auth.auth_manager_from_config(home, [], [])
    web = {"http": {"server_host": [_HOST], "server_port": web_port}}
    for name, config in (("http", web), ("homeassistant", {}), ("mqtt", {})):
        assert await async_setup_component(home, name, config), name
    await home.async_start()
    return home


async def main(folder, port, web_port):
    prepare(Path(folder), int(port))
    home = await started(folder, int(web_port))
    while True:
        line = await asyncio.to_thread(sys.stdin.readline)
        if not line:
            break
        what, answer = json.loads(line), None
        if what is None:
            answer = {
                state.entity_id: [state.state, state.attributes.get("unit_of_measurement")]
                for state in home.states.async_all()
            }
        else:
            domain, service, entity = what
            await home.services.async_call(domain, service, {"entity_id": entity}, blocking=True)
        print(json.dumps(answer), flush=True)
    await home.async_stop()


asyncio.run(main(*sys.argv[1:]))
