// Midtrans' official client, the only one with every QRIS service of SNAP, as a judge of the fake bank: node snap_client.js
// MODULES, with the orders on standard input as JSON and the answers on standard output.
const { SnapBi, SnapBiConfig } = require(`${process.argv[2]}/midtrans-client`);

async function main() {
  const orders = JSON.parse(require("fs").readFileSync(0, "utf8"));
  SnapBiConfig.isProduction = false;
  SnapBiConfig.SNAP_BI_SANDBOX_BASE_URL = orders.url;
  SnapBiConfig.snapBiClientId = orders.clientId;
  SnapBiConfig.snapBiClientSecret = orders.clientSecret;
  SnapBiConfig.snapBiPrivateKey = orders.privateKey;
  SnapBiConfig.snapBiPublicKey = orders.publicKey;
  SnapBiConfig.snapBiPartnerId = orders.clientId;
  SnapBiConfig.snapBiChannelId = "95221";
  const answers = [];
  for (const [index, { action, body }] of orders.calls.entries()) {
    answers.push(await SnapBi.qris().withBody(body)[action](`${orders.externalId}${index}`));
  }
  for (const { body, path, signature, timestamp } of orders.notifications) {
    answers.push(
      SnapBi.notification()
        .withNotificationPayload(body)
        .withSignature(signature)
        .withTimeStamp(timestamp)
        .withNotificationUrlPath(path)
        .isWebhookNotificationVerified(),
    );
  }
  console.log(JSON.stringify(answers));
}

main();
