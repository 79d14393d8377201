// Where the authority keeps its records (oidc-provider's adapter): in memory, and in a file from one of its
// processes to the next, so that grants outlive a restart. The adapter that oidc-provider brings along forgets
// the oldest of a thousand records.
import fs from 'node:fs';

export class Store {
  #records = new Map();

  #file;

  constructor(file) {
    this.#file = file;
    if (fs.existsSync(file)) this.#records = new Map(JSON.parse(fs.readFileSync(file, 'utf8')));
  }

  save() {
    fs.writeFileSync(this.#file, JSON.stringify([...this.#records]));
  }

  // Ends every grant of an account, and with them its tokens. Returns how many grants there were.
  revokeGrants(accountId) {
    const grants = [...this.#records].filter(([key, record]) => key.startsWith('Grant:') && record.accountId === accountId);
    for (const [key, grant] of grants) {
      this.#records.delete(key);
      this.#revoke(grant.jti);
    }
    return grants.length;
  }

  #revoke(grantId) {
    for (const [key, record] of this.#records) if (record.grantId === grantId) this.#records.delete(key);
  }

  // The adapter of one model, as oidc-provider asks for it. Whether a record has expired it sees for itself.
  adapter(model) {
    const records = this.#records;
    const key = (id) => `${model}:${id}`;
    const findBy = (name, value) => [...records]
      .find(([itsKey, record]) => itsKey.startsWith(`${model}:`) && record[name] === value)?.[1];
    return {
      upsert: async (id, record) => { records.set(key(id), record); },
      find: async (id) => records.get(key(id)),
      findByUserCode: async (userCode) => findBy('userCode', userCode),
      findByUid: async (uid) => findBy('uid', uid),
      consume: async (id) => { records.get(key(id)).consumed = Math.floor(Date.now() / 1000); },
      destroy: async (id) => { records.delete(key(id)); },
      revokeByGrantId: async (grantId) => this.#revoke(grantId),
    };
  }
}
