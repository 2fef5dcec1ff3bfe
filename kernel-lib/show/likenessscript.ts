/**
 * What runs in the browser beside the picture of all chips: a function of its place and of `{points, labels, side, columns, width, height, jpeg}`.
 * It shows the thumbnail of the point nearest to the pointer, and marks the points that have the tag chosen.
 *
 * A text, not a function that is printed: what compiles it would put names into it that the browser does not know.
 */
export const likenessScript: string = `function (place, data) {
  var svg = place.querySelector('svg'), chip = place.querySelector('.chip'), select = place.querySelector('select');
  var picture = chip.querySelector('i'), words = chip.querySelector('span');
  var circles = svg.querySelectorAll('circle'), points = data.points, side = 160, shown = -1;
  picture.style.backgroundImage = 'url(data:image/jpeg;base64,' + data.jpeg + ')';
  picture.style.backgroundSize = data.columns * side + 'px ' + Math.ceil(points.length / data.columns) * side + 'px';
  function show(next) {
    if (next === shown) return;
    if (shown >= 0) circles[shown].classList.remove('at');
    shown = next;
    chip.hidden = next < 0;
    if (next < 0) return;
    var point = points[next], ratio = svg.getBoundingClientRect().width / data.width;
    circles[next].classList.add('at');
    picture.style.backgroundPosition = '-' + (next % data.columns) * side + 'px -' + Math.floor(next / data.columns) * side + 'px';
    words.textContent = point.words + '\\n' + (point.has.map(function (at) { return data.labels[at]; }).join(', ') || 'no tag');
    chip.style.left = point.x * ratio + (point.x > data.width / 2 ? -side - 30 : 16) + 'px';
    chip.style.top = Math.max(0, Math.min(point.y * ratio - side / 2, data.height * ratio - side - 50)) + 'px';
  }
  svg.addEventListener('pointermove', function (event) {
    var box = svg.getBoundingClientRect(), scale = data.width / box.width, best = -1, near = 14 * 14;
    var x = (event.clientX - box.left) * scale, y = (event.clientY - box.top) * scale;
    points.forEach(function (point, at) {
      var far = (point.x - x) * (point.x - x) + (point.y - y) * (point.y - y);
      if (far < near) { best = at; near = far; }
    });
    show(best);
  });
  svg.addEventListener('pointerleave', function () { show(-1); });
  select.addEventListener('change', function () {
    var tag = select.value === '' ? -1 : Number(select.value);
    points.forEach(function (point, at) {
      var has = point.has.indexOf(tag) >= 0, maybe = point.unknown.indexOf(tag) >= 0;
      circles[at].classList.toggle('on', has);
      circles[at].classList.toggle('maybe', maybe);
      circles[at].classList.toggle('off', tag >= 0 && !has && !maybe);
    });
  });
}`;
