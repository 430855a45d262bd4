// A visitor of the application of tests/django in a real browser, who comes by http and logs in.
//
//   node application.cjs CHROMIUM HTTP_PORT HTTPS_PORT
//
// prints what it has seen as one line of JSON.
const { chromium } = require('playwright-core');

const [executablePath, http, https] = process.argv.slice(2);

(async () => {
  const args = ['--no-sandbox', '--host-resolver-rules=MAP www.example 127.0.0.1'];
  const browser = await chromium.launch({ executablePath, args });
  const context = await browser.newContext({ ignoreHTTPSErrors: true });
  const page = await context.newPage();
  const responses = [];
  page.on('response', (response) => {
    const headers = response.headers();
    const { 'content-encoding': coding = '', 'cache-status': cache = '' } = headers;
    responses.push({ status: response.status(), url: response.url(), coding, cache });
  });
  const seen = { responses };
  await page.goto(`http://www.example:${http}/`);
  seen.front = { url: page.url(), title: await page.textContent('h1') };
  seen.protocol = await page.evaluate(
    () => performance.getEntriesByType('navigation')[0].nextHopProtocol,
  );
  await page.reload();
  seen.again = await page.textContent('h1');
  await page.goto(`http://www.example:${http}/account/`);
  seen.login = page.url();
  await page.fill('#id_username', 'ana');
  await page.fill('#id_password', 'secret-9');
  await page.click('input[type=submit]');
  seen.account = { url: page.url(), text: await page.textContent('body') };
  await page.goto(`https://www.example:${https}/admin/`);
  seen.admin = await page.title();
  seen.cookies = (await context.cookies()).map(({ name, secure }) => ({ name, secure }));
  await browser.close();
  console.log(JSON.stringify(seen));
})().catch((error) => {
  console.error(String(error));
  process.exit(1);
});
